# Prints the targets of the makefiles in groups. Input: lines of the form "target: prerequisites ## what it does".
BEGIN { FS = ":.*## " }
{ text[$1] = $2; names[++n] = $1 }
function group(t) {
	if (t ~ /^(help|try|demo|quickstart|example|test|gearmanctl|plugin)$/) return "start"
	if (t ~ /^bench-|^law-docs$/) return "bench"
	if (t ~ /^(cluster-|e2e|envtest-assets|.*-images$)/) return "cluster"
	if (t ~ /^(release|image|publish)/) return "release"
	return "test"
}
function show(g, title,   i) {
	printf "%s\n", title
	for (i = 1; i <= n; i++) if (group(names[i]) == g) printf "  %-23s %s\n", names[i], text[names[i]]
	print ""
}
END {
	show("start", "Start here")
	show("test", "Test and check")
	show("cluster", "A real cluster")
	show("bench", "Measure")
	show("release", "Build and release")
}
