import com.pixelmed.validate.DicomSRValidator;

/** PixelMed's DicomSRValidator on many files: its own main takes one, and compiling its rules takes seconds. */
public class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : paths) {
            System.out.println("=== " + path);
            try {
                System.out.print(validator.validate(path));
            } catch (Exception problem) {
                System.out.println("Error: " + problem);
            }
        }
    }
}
