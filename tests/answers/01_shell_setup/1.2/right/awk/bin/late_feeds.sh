#!/usr/bin/awk -f
# The whole pipeline in one awk; the shebang names awk itself.
$5 == "status=LATE" { sub("partner=", "", $4); late[$4]++ }
END { for (partner in late) print late[partner], partner | "sort -k1,1nr -k2" }
