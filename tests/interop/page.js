// The centrifuge SDK in a real browser; what it tells its application is kept for the test to read.

const told = [];

function watch({ url, token, channel }) {
  const client = new Centrifuge(url, { token, minReconnectDelay: 20, maxReconnectDelay: 200 });
  const tell = (event) => (context) => told.push({ event, ...context });
  client.on('connected', tell('connected'));
  client.on('connecting', tell('connecting'));
  const subscription = client.newSubscription(channel);
  subscription.on('subscribed', tell('subscribed'));
  subscription.on('publication', tell('publication'));
  subscription.subscribe();
  client.connect();
}
