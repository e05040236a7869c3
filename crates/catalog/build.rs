//! `sqlx::migrate!` embeds the files that it finds when it is compiled, but the compiler does not notice a new one.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
