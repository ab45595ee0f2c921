cd work/marts
opslab mr resolve 1 "$(opslab mr show 1 | grep -o '#[0-9]* hania' | grep -o '[0-9]*')"
opslab mr merge 1 || true
