"""The contracts of the local APIs as executable checks, for anybody's server: one result for each line of a contract.

Shares no code with `agent.apis`: the same mistake must not be made twice.
"""
