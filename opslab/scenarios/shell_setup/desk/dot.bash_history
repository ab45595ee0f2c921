cd projects/marts
ls
git log
cd
warehouse report
warehouse --password {{password}} report
less logs/loader.log
export WAREHOUSE_PASSWORD={{password}}
jobs/report.sh
