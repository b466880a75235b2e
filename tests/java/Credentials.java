// Calls HTTP/JSON with a token and with a client certificate, in the words of proto/README.md, by what every JDK has.
// Arguments: the address, a file with the authority, and a token, or a certificate and its key.
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.util.Base64;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class Credentials {
    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", certificate(args[1]));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);

        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create("https://" + args[0] + "/v1/charging/get-usable-credit"));
        KeyManager[] shown = null;
        if (args.length == 3) {
            String key = args[2];
            request.header("authorization", "Bearer " + key);
        } else {
            shown = identity(args[2], args[3]);
        }
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(shown, trust.getTrustManagers(), null);

        HttpClient client = HttpClient.newBuilder().sslContext(tls).build();
        request.header("content-type", "application/json").timeout(Duration.ofSeconds(20));
        var body = HttpRequest.BodyPublishers.ofString("{\"accountId\": \"acme\"}");
        var answer = client.send(request.POST(body).build(), BodyHandlers.ofString());
        var usable = Pattern.compile("\"usable\": ?\"([^\"]*)\"").matcher(answer.body());
        System.out.println(answer.statusCode() == 200 && usable.find() ? usable.group(1) : answer.statusCode());
    }

    static KeyManager[] identity(String certificate, String key) throws Exception {
        String text = Files.readString(Path.of(key)).replaceAll("-----[A-Z ]+-----|\\s", "");
        PrivateKey secret = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        own.setKeyEntry("own", secret, new char[0], new Certificate[] {certificate(certificate)});
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, new char[0]);
        return keys.getKeyManagers();
    }

    static Certificate certificate(String file) throws Exception {
        try (InputStream pem = Files.newInputStream(Path.of(file))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(pem);
        }
    }
}
