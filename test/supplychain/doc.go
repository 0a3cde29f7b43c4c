// Package supplychain tests what the scripts decide that check what the project is built from.
package supplychain
