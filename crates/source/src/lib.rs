//! Images and local folders as build inputs: pin, then fetch.
