//! Suite 1: the whole daemon but Docker. Real SQLite, real HTTP stack, a scripted engine.

mod store;
