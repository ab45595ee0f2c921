cd runners
find . -type f ! -name README.md | sort | while read -r file; do
    printf '%s\tall\tprivileged\tdelete\n' "${file#./}"
done > ../answers/5.6.tsv
