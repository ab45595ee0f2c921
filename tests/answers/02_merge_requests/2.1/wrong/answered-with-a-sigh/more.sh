cd work/marts
opslab mr comment 1 "It is only one line, who reads that changelog anyway?" --reply-to "$(opslab mr show 1 | grep -o '#[0-9]* hania' | grep -o '[0-9]*')"
opslab mr merge 1 || true
