docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
docker tag data/loader:1.5 registry.targ.example/data/loader:1.4
docker push registry.targ.example/data/loader:1.4
