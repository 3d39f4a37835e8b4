//! Terminals of one-off dynos, over a real WebSocket.

use akkerisd::api;
use akkerisd::engine::ContainerState;
use akkerisd::model::log::OutputStream;
use akkerisd::model::oneoff::Terminal;
use akkerisd::tasks::Tasks;
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::harness::{House, PATH};
use crate::support::fake_engine::Call;
use crate::support::{ADMIN_TOKEN, Answer};

type Socket = WebSocketStream<TcpStream>;

/// The API on a port of its own, until the tasks stop.
async fn serve(house: &House, tasks: &Tasks) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (state, stop) = (house.daemon.state.clone(), tasks.stopping());
    tasks.spawn("api", api::serve(listener, state, stop));
    address
}

async fn connect(address: std::net::SocketAddr, name: &str, token: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}{PATH}/{name}/attach").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("v5.channel.k8s.io"));
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, answer) = client_async(request, stream).await?;
    assert_eq!(answer.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
    Ok(socket)
}

/// The next message that carries something: its channel and its bytes.
async fn next(socket: &mut Socket) -> (u8, Vec<u8>) {
    loop {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            let (channel, rest) = bytes.split_first().unwrap();
            return (*channel, rest.to_vec());
        }
    }
}

/// The status of the answer; 101 when there is a terminal.
fn refused(result: Result<Socket, Error>) -> u16 {
    match result {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Ok(_) => 101,
        Err(_) => 0,
    }
}

#[tokio::test]
async fn a_terminal_carries_input_output_size_and_the_status_at_the_end() {
    let house = House::released(&[]).await;
    let tasks = Tasks::new();
    let address = serve(&house, &tasks).await;
    let dyno = house.client.post(PATH, json!({ "command": "sh", "attach": true })).await.json(201);
    let name = dyno["name"].as_str().unwrap().to_owned();
    let url = dyno["attach_url"].as_str().unwrap();
    assert_eq!(url, format!("ws://localhost{PATH}/{name}/attach"));
    let (id, spec) = house.container("run").await;
    assert_eq!(spec.terminal, Terminal::Tty);
    house.wait("it waits", || house.shows(format!("{PATH}/{name}"), "state", json!("waiting"))).await;
    assert_eq!(house.engine().count(Call::Start), 1, "only the worker's");

    let mut socket = connect(address, &name, ADMIN_TOKEN).await.unwrap();
    house.wait("it runs", || house.shows(format!("{PATH}/{name}"), "state", json!("running"))).await;
    assert_eq!(refused(connect(address, &name, ADMIN_TOKEN).await), 409, "there is one place");
    house.engine().write(&id, OutputStream::Stdout, 1, "$ ");
    house.engine().write(&id, OutputStream::Stderr, 2, "oh");
    assert_eq!(next(&mut socket).await, (1, b"$ ".to_vec()));
    assert_eq!(next(&mut socket).await, (2, b"oh".to_vec()));
    let send = |bytes: &[u8]| Message::Binary(bytes.to_vec().into());
    socket.send(send(b"\x04{\"Width\":120,\"Height\":40}")).await.unwrap();
    socket.send(send(b"\x00ls\n")).await.unwrap();
    socket.send(send(b"\xff\x00")).await.unwrap();
    let mut input = String::new();
    house.engine().take_input(&id).unwrap().read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "ls\n");
    let resized = house.engine().calls().into_iter().find(|(call, _)| *call == Call::Resize).unwrap();
    assert!(resized.1.starts_with("120x40"), "{resized:?}");

    house.engine().die(&id, 3, false);
    let (channel, status) = next(&mut socket).await;
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!((channel, &status["status"]), (3, &json!("Failure")));
    assert_eq!(status["details"]["causes"], json!([{ "reason": "ExitCode", "message": "3" }]));
    assert_eq!(refused(connect(address, &name, ADMIN_TOKEN).await), 409, "it has ended");
    assert!(tasks.stop(std::time::Duration::from_secs(30)).await);
}

#[tokio::test]
async fn a_dyno_is_stopped_when_its_terminal_goes_away_or_never_comes() {
    let house = House::released(&[]).await;
    let tasks = Tasks::new();
    let address = serve(&house, &tasks).await;
    let body = json!({ "command": "cat", "attach": true, "force_no_tty": true });
    let first = house.client.post(PATH, body.clone()).await.json(201)["name"].as_str().unwrap().to_owned();
    let (id, spec) = house.container("run").await;
    assert_eq!(spec.terminal, Terminal::Pipes);
    let socket = connect(address, &first, ADMIN_TOKEN).await.unwrap();
    house
        .wait("it runs", || async {
            let all = house.engine().containers();
            all.iter().any(|(each, _, state)| *each == id && matches!(state, ContainerState::Running { .. }))
        })
        .await;
    drop(socket);
    house.wait("it is stopped", || house.shows(format!("{PATH}/{first}"), "exit_code", json!(143))).await;

    let second = house.client.post(PATH, body).await.json(201)["name"].as_str().unwrap().to_owned();
    let path = format!("{PATH}/{second}");
    house.wait("it waits", || house.shows(&path, "state", json!("waiting"))).await;
    house.advance(61).await;
    house.wait("it ended", || house.shows(&path, "state", json!("stopped"))).await;
    let ended: Answer = house.client.get(&path).await;
    assert!(ended.text().contains("nobody attached within 60 s"), "{}", ended.text());
    assert!(tasks.stop(std::time::Duration::from_secs(30)).await);
}

#[tokio::test]
async fn a_terminal_is_given_to_nobody_who_may_not_change_the_app() {
    use akkerisd::model::account::Role;
    let house = House::released(&[]).await;
    let tasks = Tasks::new();
    let address = serve(&house, &tasks).await;
    let dyno = house.client.post(PATH, json!({ "command": "sh", "attach": true })).await.json(201);
    let name = dyno["name"].as_str().unwrap().to_owned();
    house.container("run").await;
    assert_eq!(refused(connect(address, &name, "wrong").await), 401);
    house.daemon.account("reader", Role::Owner, &[]).await;
    let reader = house.daemon.read_token("reader").await;
    assert_eq!(refused(connect(address, &name, &reader).await), 403);
    house.client.patch("/spaces/default", json!({ "compliance": ["socs"] })).await.json(200);
    house.daemon.account("member", Role::Member, &["akkeris"]).await;
    let member = house.daemon.token("member", akkerisd::model::token::TokenKind::Personal).await;
    assert_eq!(refused(connect(address, &name, &member).await), 403, "the space is protected");
    let detached = house.client.post(PATH, json!({ "command": "sh" })).await.json(201);
    let detached = detached["name"].as_str().unwrap();
    assert_eq!(refused(connect(address, detached, ADMIN_TOKEN).await), 409);
    assert_eq!(refused(connect(address, "0000000000-abcde", ADMIN_TOKEN).await), 404);
    house.client.get(&format!("{PATH}/{name}/attach")).await.error(400);
    assert!(tasks.stop(std::time::Duration::from_secs(30)).await);
}
