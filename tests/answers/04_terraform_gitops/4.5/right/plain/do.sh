git clone -q forge:platform/reports work/reports
cd work/reports/production
git switch -qc as-decided
auditors='      {\n        Sid = "AuditorsRead", Effect = "Allow", Principal = { AWS = "arn:aws:iam::121212121212:root" }\n        Action = "s3:GetObject", Resource = "${aws_s3_bucket.reports.arn}/finance/*"\n      },'
list='      { Effect = "Allow", Action = ["s3:ListBucket"], Resource = ["arn:aws:s3:::targ-listings-raw-production"] },'
for what in {{stays}}; do
    case $what in
        retention) sed -i 's/retention_in_days = 30/retention_in_days = 365/' job.tf ;;
        owner) sed -i 's/"reporting"/"insights"/' storage.tf ;;
        max-rows) sed -i 's/"50000"/"200000"/' job.tf ;;
        send-at) sed -i 's/"06:30"/"05:45"/' job.tf ;;
        scan) sed -i 's/scan_on_push = false/scan_on_push = true/' job.tf ;;
        policy) sed -i "/partners.\*/{n;a\\$auditors
            }" storage.tf ;;
        rights) sed -i "/aws_s3_bucket.reports.arn/{n;a\\$list
            }" job.tf ;;
    esac
done
cat > {{made}}.tf <<TF
import {
  to = aws_s3_bucket.{{made}}
  id = "targ-reports-{{made}}"
}

resource "aws_s3_bucket" "{{made}}" {
  bucket = "targ-reports-{{made}}"

  tags = {
    Owner  = "{{made_for}}"
    OnCall = "{{made_for}}-oncall"
    Keep   = "until-2028"
  }
}
TF
git add .
git commit -qm "As it was decided in the channel; the {{made}} bucket is imported"
git push -q -o merge_request.create -o merge_request.target=main -o merge_request.title="Take over what was clicked and decided" \
    -o merge_request.description="Three people have clicked last week. What was decided to stay is in the code now, the rest goes with the apply." -u origin as-decided
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr show 1
