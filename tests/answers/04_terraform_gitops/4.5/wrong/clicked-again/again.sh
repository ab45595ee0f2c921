env {{production_administrator}} aws iam tag-role --role-name reports-render --tags Key=Note,Value=later
