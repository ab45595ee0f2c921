rm -r forge/analytics/marts.git
