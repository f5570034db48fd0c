"""Updates that cannot brick a hub: signed bundles, two slots, a launcher, a trial, and the way back."""
