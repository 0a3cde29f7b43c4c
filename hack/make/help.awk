# Prints the targets of the makefiles with what they do ("target: prerequisites ## what it does"), a group for each file.
match($0, /^[a-zA-Z0-9_-]+:.*## /) {
	target = $0
	sub(/:.*/, "", target)
	what = substr($0, RLENGTH + 1)
	gsub(/\$\$/, "$", what)
	group = FILENAME
	sub(/.*\//, "", group)
	if (target == "help" || target == "test") group = "start.mk"
	lines[group] = lines[group] sprintf("  %-23s %s\n", target, what)
}
function show(group, title) { printf "%s\n%s\n", title, lines[group] }
END {
	show("start.mk", "Start here")
	show("test.mk", "Test and check")
	show("cluster.mk", "A real cluster")
	show("bench.mk", "Measure")
	show("release.mk", "Build and release")
	show("tools.mk", "Build and install tools, generate files")
}
