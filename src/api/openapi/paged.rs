//! What the document says of every list: that it has pages (`api/page.rs`).

use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, Ref, RefOr, Required, Response, ResponseBuilder, Schema};

const RANGE: &str = "Which part: `<property> <first>..<last>; max=<1 to 1000>, order=<asc or desc>`, as in \
    `id ..; max=10`. `]` before the first and `[` after the last leave them out. Without it, up to 1000 items.";

/// Adds the header, the answers and their headers to an operation that answers a list; leaves others as they are, and
/// lists with pages of their own.
pub(super) fn complete(operation: &mut Operation, errors: &str) {
    let is_number = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(p) if p.name == "per_page");
    if operation.parameters.iter().flatten().any(is_number) {
        return;
    }
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(whole)) = responses.get_mut("200") else { return };
    if !answers_list(whole) {
        return;
    }
    describe_headers(whole);
    let mut part = whole.clone();
    "A part; `Next-Range` is the Range of the next one".clone_into(&mut part.description);
    part.headers.insert("Next-Range".to_owned(), RefOr::T(header("The Range of the items after these")));
    responses.insert("206".to_owned(), RefOr::T(part));
    let refused = ResponseBuilder::new()
        .description("The Range cannot be read, or the list has no such pages")
        .header("Accept-Ranges", accepted())
        .content("application/json", Content::new(Some(Ref::from_schema_name(errors))))
        .build();
    responses.insert("416".to_owned(), RefOr::T(refused));
    let range = ParameterBuilder::new()
        .name("Range")
        .description(Some(RANGE))
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(utoipa::schema!(String)))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(range));
}

fn answers_list(response: &Response) -> bool {
    let is_array = |schema: &RefOr<Schema>| matches!(schema, RefOr::T(Schema::Array(_)));
    response.content.values().any(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::T(Schema::OneOf(either))), .. }) => {
            either.items.iter().any(is_array)
        }
        RefOr::T(Content { schema: Some(schema), .. }) => is_array(schema),
        RefOr::T(Content { schema: None, .. }) | RefOr::Ref(_) => false,
    })
}

fn describe_headers(response: &mut Response) {
    response.headers.insert("Accept-Ranges".to_owned(), RefOr::T(accepted()));
    let range = "From the lowest to the highest of the items; absent when there is none";
    response.headers.insert("Content-Range".to_owned(), RefOr::T(header(range)));
}

fn accepted() -> Header {
    header("What the list may be paged by, separated by commas")
}

fn header(description: &str) -> Header {
    let mut header = Header::new(utoipa::schema!(String));
    header.description = Some(description.to_owned());
    header
}
