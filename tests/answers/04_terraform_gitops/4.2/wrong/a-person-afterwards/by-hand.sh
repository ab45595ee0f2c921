{{production_administrator}} aws s3api put-bucket-tagging --bucket targ-{{thing}}-raw-production \
    --tagging 'TagSet=[{Key=Name,Value=targ-{{thing}}-raw-production},{Key=Owner,Value={{team}}},{Key=OnCall,Value=basia}]'
