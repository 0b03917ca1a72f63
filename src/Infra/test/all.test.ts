// One process for all: Pulumi and its provider are read once, which is most of the time that these tests take.
import "./policy";
import "./scripts";
import "./settings";
import "./stack";
import "./zip";
