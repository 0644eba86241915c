//! A cluster, of which the store is at one node.

use super::*;

#[tokio::test]
async fn a_cluster_says_where_the_store_is() {
    let bus = [server::free_port(), server::free_port()].map(|port| port.to_string());
    let node = |bus| Server::start(&["--cluster-enabled", "yes", "--cluster-port", bus]);
    let (asked, other) = (node(&bus[0]), node(&bus[1]));
    let (here, there) = (Node::of(&asked).await, Node::of(&other).await);
    there.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    here.ask(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string(), &bus[1]]).await;
    here.is_in_order().await;
    there.is_in_order().await;

    let store = open(&asked).await;
    let lease = lease(&store).await;
    create(&store, durable(large(20_000))).await;
    let claimed = store.claim(lease, 1).await.unwrap().remove(0);
    store.finish(claimed.attempt, Arc::new(reply(b"there"))).await.unwrap();
    assert_eq!(store.counts().await.unwrap().succeeded, 1);
    assert_ne!(there.ask(&["DBSIZE"]).await, redis::Value::Int(0));
}

struct Node(redis::aio::MultiplexedConnection);

impl Node {
    async fn of(server: &Server) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    async fn ask(&self, command: &[&str]) -> redis::Value {
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut self.0.clone()).await.unwrap()
    }

    async fn is_in_order(&self) {
        loop {
            let info: String = redis::from_redis_value(self.ask(&["CLUSTER", "INFO"]).await).unwrap();
            if info.contains("cluster_state:ok") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
