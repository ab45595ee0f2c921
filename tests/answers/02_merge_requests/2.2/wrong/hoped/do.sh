opslab mr -R analytics/finance merge 1
