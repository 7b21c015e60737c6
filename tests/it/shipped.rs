//! The plugins that ship do what their README says.

use rstest::rstest;
use serde_json::json;

use crate::databases::On;
use crate::support::{ADA, BOB, TestHost};

#[tokio::test]
async fn hello_greets() {
    let host = TestHost::start().await;
    host.ship("hello");
    host.host.manager().install("hello", false).await.unwrap();
    host.host.manager().activate("hello").await.unwrap();
    let answer = host.graphql(None, r#"{ hello_greet(name: "Ada") }"#, json!({})).await;
    assert_eq!(answer, json!({ "data": { "hello_greet": "Hello, Ada!" } }));
    let answer = host.graphql(None, "{ hello_greet }", json!({})).await;
    assert_eq!(answer, json!({ "data": { "hello_greet": "Hello, world!" } }));
    host.stop().await;
}

const CREATE: &str = "mutation($input: PollInput!) { polls_create(input: $input) \
     { id title state authorName votes options { id text votes } } }";
const VOTE: &str = "mutation($poll: UUID!, $option: UUID!) { polls_vote(pollId: $poll, \
     optionId: $option) { votes myVote { text votes } options { text votes } } }";

#[rstest]
#[tokio::test]
async fn polls_are_made_voted_on_once_and_closed(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = TestHost::start_with(on.settings().await).await;
    host.ship("polls");
    host.host.manager().install("polls", false).await.unwrap();
    host.host.manager().activate("polls").await.unwrap();

    let input = json!({ "title": "  Lunch? ", "options": ["Soup", "Salad"] });
    let poll = &host.data(ADA, CREATE, json!({ "input": input })).await["polls_create"];
    assert_eq!(poll["title"], "Lunch?");
    assert_eq!(poll["state"], "OPEN");
    assert_eq!(poll["authorName"], "ada");
    let (id, soup) = (&poll["id"], &poll["options"][0]["id"]);

    let vote = json!({ "poll": id, "option": soup });
    let voted = &host.data(BOB, VOTE, vote.clone()).await["polls_vote"];
    assert_eq!(voted["votes"], 1);
    assert_eq!(voted["myVote"], json!({ "text": "Soup", "votes": 1 }));
    let again = host.error(Some(BOB), VOTE, vote.clone()).await;
    assert_eq!(again["extensions"]["code"], "already_voted");
    let wrong = json!({ "poll": id, "option": id });
    let error = host.error(Some(ADA), VOTE, wrong).await;
    assert_eq!(error["extensions"]["code"], "option_not_found");

    let close = "mutation($id: UUID!) { polls_close(id: $id) { state closedAt } }";
    let error = host.error(Some(BOB), close, json!({ "id": id })).await;
    assert_eq!(error["extensions"]["code"], "forbidden");
    let closed = &host.data(ADA, close, json!({ "id": id })).await["polls_close"];
    assert_eq!(closed["state"], "CLOSED");
    assert!(closed["closedAt"].is_string());
    let error = host.error(Some(ADA), VOTE, vote).await;
    assert_eq!(error["extensions"]["code"], "poll_closed");

    let open = "{ polls_list(filter: { state: OPEN }) { title } }";
    assert_eq!(host.data(ADA, open, json!({})).await["polls_list"], json!([]));
    let mine = "{ polls_list(filter: { mine: true }) { title myVote { text } } }";
    let expected = json!([{ "title": "Lunch?", "myVote": null }]);
    assert_eq!(host.data(ADA, mine, json!({})).await["polls_list"], expected);
    assert_eq!(host.data(BOB, mine, json!({})).await["polls_list"], json!([]));

    let results = "query($id: UUID!) { polls_get(id: $id) { results { option { text } votes } } }";
    let expected = json!([{ "option": { "text": "Soup" }, "votes": 1 }, { "option": { "text": "Salad" }, "votes": 0 }]);
    assert_eq!(
        host.data(ADA, results, json!({ "id": id })).await["polls_get"]["results"],
        expected
    );
    let second = json!({ "title": "Dinner?", "options": ["Rice", "Bread"] });
    host.data(ADA, CREATE, json!({ "input": second })).await;
    let page = "query($after: String) { polls_page(first: 1, after: $after) { edges { cursor node { title options { text } } } pageInfo { hasNextPage } } }";
    let first = &host.data(ADA, page, json!({})).await["polls_page"];
    let node = json!({ "title": "Dinner?", "options": [{ "text": "Rice" }, { "text": "Bread" }] });
    assert_eq!(
        (&first["edges"][0]["node"], &first["pageInfo"]["hasNextPage"]),
        (&node, &json!(true))
    );
    let next = json!({ "after": first["edges"][0]["cursor"] });
    let next = &host.data(ADA, page, next).await["polls_page"];
    assert_eq!(next["edges"][0]["node"]["title"], "Lunch?");
    assert_eq!(next["pageInfo"]["hasNextPage"], false);
    let delete = "mutation($id: UUID!) { polls_delete(id: $id) }";
    let error = host.error(Some(BOB), delete, json!({ "id": id })).await;
    assert_eq!(error["extensions"]["code"], "forbidden");
    assert_eq!(host.data(ADA, delete, json!({ "id": id })).await["polls_delete"], true);
    let left = host.data(ADA, "{ polls_list { title votes } }", json!({})).await;
    assert_eq!(left["polls_list"], json!([{ "title": "Dinner?", "votes": 0 }]));
    host.stop().await;
}

#[tokio::test]
async fn polls_refuse_bad_input_and_strangers() {
    let host = TestHost::start().await;
    host.ship("polls");
    host.host.manager().install("polls", false).await.unwrap();
    host.host.manager().activate("polls").await.unwrap();

    let input = json!({ "title": " ", "options": ["a", "a", ""] });
    let error = host.error(Some(ADA), CREATE, json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "invalid_arguments");
    let paths: Vec<String> = error["extensions"]["issues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["argumentPath"].to_string())
        .collect();
    let expected = [r#"["input","title"]"#, r#"["input","options",1]"#, r#"["input","options",2]"#];
    assert_eq!(paths, expected);

    let error = host.error(None, "{ polls_list { id } }", json!({})).await;
    assert_eq!(error["extensions"]["code"], "unauthenticated");
    let get = r#"{ polls_get(id: "00000000-0000-4000-8000-000000000000") { id } }"#;
    assert_eq!(host.data(ADA, get, json!({})).await["polls_get"], json!(null));
    host.stop().await;
}
