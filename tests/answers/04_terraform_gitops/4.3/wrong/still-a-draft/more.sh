cd work/service-roles
opslab mr create {{job}} --draft --title "A role for the nightly job {{job}}" --description "Not ready yet, I only want to show it."
opslab mr work
