docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
cd ~/deploy/build
uv pip install --quiet --require-hashes -r requirements.lock --target site-packages
cd site-packages
mv targ_units-1.2.0.dist-info targ_units-1.2.1.dist-info
sed -i 's/^Version: .*/Version: 1.2.1/' targ_units-1.2.1.dist-info/METADATA
cd ..
docker build -t registry.targ.example/data/loader:1.5 .
docker push registry.targ.example/data/loader:1.5
