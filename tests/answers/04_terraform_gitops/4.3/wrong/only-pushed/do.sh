git clone -q forge:platform/service-roles work/service-roles
cd work/service-roles
git switch -qc {{job}}
echo '# to be continued' > staging/{{job}}.tf
git add staging
git commit -qm "A role for {{job}}"
git push -q -u origin {{job}}
