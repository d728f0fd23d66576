-- From now on nothing is kept that was asked for before now.
local ledger = open()
require_writable()
ledger.stamp = ledger.stamp + 1
set_special(STAMP, ledger.stamp)
set_special(SWEPT, ledger.stamp)
announce(ledger, '')
