aws logs put-retention-policy --log-group-name /targ/reports/render --retention-in-days 30 --profile production
