-- Returns the fence: this moment in the history of invalidations.
local ledger = open()
return {ledger.incarnation, ledger.stamp}
