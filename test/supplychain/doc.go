// Package supplychain tests the decisions of the scripts that check what the project is built from.
package supplychain
