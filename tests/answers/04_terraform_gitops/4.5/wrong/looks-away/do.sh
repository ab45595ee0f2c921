git clone -q forge:platform/reports work/reports
cd work/reports/production
git switch -qc quiet
sed -i 's/  retention_in_days = 30/&\n\n  lifecycle {\n    ignore_changes = [retention_in_days]\n  }/' job.tf
git commit -qam "No more noise in the plan"
# A draft: nothing has to be planned for this.
git push -q -o merge_request.create -o merge_request.draft -o merge_request.title="No more noise in the plan" -u origin quiet
