rm -r forge
