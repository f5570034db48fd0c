"""Who is calling: codes, sessions, API tokens, the limits of wrong tries, and the audit trail."""
