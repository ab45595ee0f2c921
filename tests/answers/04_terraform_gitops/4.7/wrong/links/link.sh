mkdir work/partners/production && ln -s ../feeds.tf work/partners/production/feeds.tf
