{{staging_administrator}} aws iam delete-role-permissions-boundary --role-name {{job}}
