import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Calls two vendors through the sidecar. There is nothing to install, and no token to handle. */
public class TwoVendors {
    public static void main(String[] arguments) throws Exception {
        var sidecar = System.getenv().getOrDefault("BIPED_URL", "http://127.0.0.1:7417");
        var client = HttpClient.newHttpClient();
        for (var path : new String[] {"/shop/v1/orders", "/exports/v1/exports"}) {
            var request = HttpRequest.newBuilder(URI.create(sidecar + path)).build();
            var response = client.send(request, BodyHandlers.ofString());
            if (response.statusCode() != 200) {
                throw new RuntimeException(path + ": " + response.statusCode() + " " + response.body());
            }
            System.out.println(path + " " + response.statusCode() + " " + response.body());
        }
    }
}
