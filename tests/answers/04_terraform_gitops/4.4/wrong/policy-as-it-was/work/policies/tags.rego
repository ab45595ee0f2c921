# What is wrong with a plan. The first try.
package main

import rego.v1
deny contains message if {
	some resource in input.planned_values.root_module.resources
	not resource.values.tags.Name
	message := sprintf("%s: Name is missing", [resource.address])
}
