cd projects/marts
ls
git log
cd
warehouse report
less logs/loader.log
jobs/report.sh
warehouse --password {{password}} report
