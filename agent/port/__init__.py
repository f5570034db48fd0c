"""The technician's port: who may reach the routes of `agent.local`, over which listeners. Never touches control."""
