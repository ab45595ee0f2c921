opslab mr -R platform/exports reopen 1
