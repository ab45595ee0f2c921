package main

import rego.v1

# tags_all is not known where something new has no tags at all, or an empty one: then what stands in the code counts.
tags(after) := after.tags_all if is_object(after.tags_all)

tags(after) := after.tags if {
	not after.tags_all
	is_object(after.tags)
}

tags(after) := {} if {
	not after.tags_all
	after.tags == null
}

complaints(have) := [complaint |
	some key in ["Name", "Owner", "OnCall"]
	object.get(have, key, "") == ""
	complaint := concat(" ", ["no", key])
]

deny contains message if {
	some resource in input.resource_changes
	resource.mode != "data"
	resource.change.actions != ["delete"]
	have := tags(resource.change.after)
	count(complaints(have)) > 0
	message := sprintf("%s: %v", [resource.address, complaints(have)])
}

deny contains message if {
	some resource in input.resource_changes
	some key, value in tags(resource.change.after)
	key == "OnCall"
	value != ""
	not regex.match("-oncall$", value)
	message := sprintf("%s: who is %s?", [resource.address, value])
}
