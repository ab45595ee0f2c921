package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	message := sprintf("%s: has no tags", [resource.address])
}
