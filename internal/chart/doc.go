// Package chart draws line and bar charts into SVG and PNG files. It exists because gearmanctl
// carries its charts: a plotting library brought five megabytes of fonts into the binary.
//
// It is pure but for [Chart.Write], which creates the file and the directories above it.
package chart
