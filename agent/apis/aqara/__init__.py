"""The Aqara Open API of the hub: seven request types on one address, answered from the home."""
