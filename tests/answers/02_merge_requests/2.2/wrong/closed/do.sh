opslab mr -R analytics/finance close 1
