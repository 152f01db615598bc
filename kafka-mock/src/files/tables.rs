//! From a table of a file to what it says: the same for rules of scripts and of proxies.

/// Begins with something, calls the method that stands with each field that is there, and then the methods named like flags that
/// are set.
macro_rules! from_table {
    (
        $table:ident => $begin:expr;
        [$($flag:ident),*]
        $($field:ident => |$built:ident, $value:pat_param| $next:expr;)*
    ) => {{
        let mut built = $begin;
        $(if let Some($value) = $table.$field {
            let $built = built;
            built = $next;
        })*
        $(if $table.$flag {
            built = built.$flag();
        })*
        built
    }};
}

/// Reads a table that counts what it is about as an `Entry`, unless it does so twice.
macro_rules! counted_entry {
    ($table:ident) => {
        impl TryFrom<$table> for Entry {
            type Error = &'static str;

            fn try_from(table: $table) -> Result<Self, Self::Error> {
                if table.nth.is_some() && (table.skip.is_some() || table.times.is_some()) {
                    return Err("`nth` goes without `skip` and `times`");
                }
                Ok(Self(table.into()))
            }
        }
    };
}
