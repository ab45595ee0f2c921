git clone -q forge:platform/reports work/reports
cd work/reports/production
git switch -qc as-decided
sed -i 's/retention_in_days = 30/retention_in_days = 365/' job.tf
git commit -qam "A year of logs, as it was decided"
git push -q -o merge_request.create -o merge_request.draft -o merge_request.title="A year of logs, as it was decided" -u origin as-decided
