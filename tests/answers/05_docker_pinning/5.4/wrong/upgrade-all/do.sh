docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
cd ~/deploy/build
sed -i 's/<2.9//' requirements.in
uv pip compile --quiet requirements.in --generate-hashes --upgrade -o requirements.lock
uv pip install --quiet --require-hashes -r requirements.lock --target site-packages
docker build -t registry.targ.example/data/loader:1.5 .
docker push registry.targ.example/data/loader:1.5
